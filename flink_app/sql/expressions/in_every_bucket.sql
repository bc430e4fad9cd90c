-- A rule's name with each of the 64 buckets, one of which every candidate of the rule is in: so a
-- version of the rule meets the candidates where they are, and none has to go where the rule is.
SELECT
    ARRAY [
        ${it} || '|00', ${it} || '|01', ${it} || '|02', ${it} || '|03',
        ${it} || '|10', ${it} || '|11', ${it} || '|12', ${it} || '|13',
        ${it} || '|20', ${it} || '|21', ${it} || '|22', ${it} || '|23',
        ${it} || '|30', ${it} || '|31', ${it} || '|32', ${it} || '|33',
        ${it} || '|40', ${it} || '|41', ${it} || '|42', ${it} || '|43',
        ${it} || '|50', ${it} || '|51', ${it} || '|52', ${it} || '|53',
        ${it} || '|60', ${it} || '|61', ${it} || '|62', ${it} || '|63',
        ${it} || '|70', ${it} || '|71', ${it} || '|72', ${it} || '|73',
        ${it} || '|80', ${it} || '|81', ${it} || '|82', ${it} || '|83',
        ${it} || '|90', ${it} || '|91', ${it} || '|92', ${it} || '|93',
        ${it} || '|a0', ${it} || '|a1', ${it} || '|a2', ${it} || '|a3',
        ${it} || '|b0', ${it} || '|b1', ${it} || '|b2', ${it} || '|b3',
        ${it} || '|c0', ${it} || '|c1', ${it} || '|c2', ${it} || '|c3',
        ${it} || '|d0', ${it} || '|d1', ${it} || '|d2', ${it} || '|d3',
        ${it} || '|e0', ${it} || '|e1', ${it} || '|e2', ${it} || '|e3',
        ${it} || '|f0', ${it} || '|f1', ${it} || '|f2', ${it} || '|f3'
    ]
