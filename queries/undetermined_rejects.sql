-- title: Rejected traffic whose cause stays open
-- purpose: What the evidence leaves open, with the causes that remain; flowq attribute says what would decide.
-- needs: reject_attribution(interface_id, srcaddr, dstport, protocol, verdict, reason_code, candidates, packets, start)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select interface_id, direction, dstport, protocol_name(protocol) as protocol, reason_code, array_to_string(candidates, ', ') as candidates,
  count(distinct srcaddr) as sources, count(*) as flows, sum(packets) as packets
from reject_attribution
where verdict = 'UNDETERMINED' and ($from is null or start >= $from) and ($to is null or start < $to)
group by interface_id, direction, dstport, protocol, reason_code, candidates
order by flows desc, interface_id, direction, dstport, protocol, reason_code, candidates
limit $limit
