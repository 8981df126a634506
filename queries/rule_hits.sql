-- title: What each rule does
-- purpose: Every rule of security groups and network ACLs with the conversations that it decided. sole: only this rule lets
--   them pass (of a deny: they would pass without it); shared: another rule would do the same.
-- needs: rule_hits(layer, object_id, rule, conversations, records, bytes, remotes, sole, shared, possible, first_seen, last_seen)
-- param: object text = null "only this security group or network ACL"
-- param: limit int = 1000 "how many rows"
-- origin: flowq
select layer, object_id, direction, action, rule, conversations, records, bytes, remotes, sole, shared, possible, first_seen, last_seen
from rule_hits
where ($from is null or observed_from >= $from) and ($to is null or observed_to < $to) and ($object is null or object_id = $object)
order by layer desc, conversations desc, bytes desc, object_id, direction desc, rule_number, rule
limit $limit
