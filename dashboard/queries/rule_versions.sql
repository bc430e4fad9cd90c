-- Question: which versions of the rules are in use, what do they say, and what did each find?
--
-- With those that found something before; the version that came with the job was never published.

SELECT
    rule_versions.rule,
    rule_versions.rule_version,
    rule_versions.in_use,
    rule_versions.state,
    rule_versions.paging,
    rule_versions.severity,
    rule_versions.published_at,
    rule_versions.note,
    rule_versions.settings,
    rule_versions.alerts,
    rule_versions.entities,
    rule_versions.last_alert_at
FROM marts.rule_versions
WHERE rule_versions.in_use IS NOT NULL OR rule_versions.alerts > 0
ORDER BY rule_versions.rule ASC, rule_versions.rule_version DESC
LIMIT :rows;
