-- title: Rejects that the configuration does not explain
-- purpose: Where the configuration given was not the one in force: by its rules the packets would have passed, or ACCEPTs contradict it.
-- needs: reject_attribution(interface_id, nacl_id, security_group_ids, verdict, reason_code, confidence, start, end)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select interface_id, nacl_id, array_to_string(security_group_ids, ', ') as security_groups, reason_code, confidence, count(*) as flows,
  min(start) as first_seen, max("end") as last_seen
from reject_attribution
where verdict = 'CONFIG_MISMATCH' and ($from is null or start >= $from) and ($to is null or start < $to)
group by interface_id, nacl_id, security_group_ids, reason_code, confidence
order by flows desc, interface_id, nacl_id, security_groups, reason_code, confidence
limit $limit
