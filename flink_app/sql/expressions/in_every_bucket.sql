-- The 64 buckets, one of which every candidate of a rule is in: so a version of the rule meets the
-- candidates where they are, and none has to go where the rule is. ${it} is a column: an array that
-- does not depend on the row is planned as a join.
SELECT
    SPLIT(
        '00,01,02,03,10,11,12,13,20,21,22,23,30,31,32,33,40,41,42,43,50,51,52,53,'
        || '60,61,62,63,70,71,72,73,80,81,82,83,90,91,92,93,a0,a1,a2,a3,b0,b1,b2,b3,'
        || 'c0,c1,c2,c3,d0,d1,d2,d3,e0,e1,e2,e3,f0,f1,f2,f3' || LEFT(${it}, 0),
        ','
    )
