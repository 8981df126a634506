-- title: Each kind of rejected traffic with its cause
-- purpose: Interface, direction, ends and port of what was rejected, with the network ACL's rule or the groups that dropped it.
-- needs: reject_attribution(interface_id, direction, srcaddr, dstaddr, dstport, protocol, verdict, nacl_id, nacl_rule_number, security_group_ids, confidence, packets, start)
-- param: verdict text = null "only this verdict" one of NACL, SECURITY_GROUP, NACL_AND_SECURITY_GROUP,
--   VPC_BPA, ENCRYPTION_CONTROLS, STALE_CONNECTION, CONFIG_MISMATCH, OTHER_REASON, UNDETERMINED, NOT_APPLICABLE
-- param: limit int = 100 "how many rows"
-- origin: flowq
select interface_id, direction, srcaddr, dstaddr, dstport, protocol_name(protocol) as protocol, verdict, nacl_id, nacl_rule_number,
  array_to_string(security_group_ids, ', ') as security_groups, confidence, count(*) as flows, sum(packets) as packets
from reject_attribution
where ($from is null or start >= $from) and ($to is null or start < $to) and ($verdict is null or verdict = $verdict)
group by interface_id, direction, srcaddr, dstaddr, dstport, protocol, verdict, nacl_id, nacl_rule_number, security_group_ids, confidence
order by flows desc, packets desc, interface_id, direction, srcaddr, dstaddr, dstport, protocol, verdict, nacl_id, nacl_rule_number,
  security_groups, confidence
limit $limit
