-- title: Rejected traffic by source
-- purpose: Which sources are turned away most, and how widely they tried.
-- needs: flow_logs(srcaddr, dstaddr, dstport, action, packets, start, end)
-- param: limit int = 20 "how many rows"
-- origin: flowq
with sources as (
  select srcaddr, count(*) as flows, sum(packets) as packets, count(distinct dstaddr) as targets, min(start) as first_seen,
    max("end") as last_seen
  from flow_logs
  where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
  group by srcaddr
  order by flows desc, srcaddr
  limit $limit
),
tried as (
  select srcaddr, count(distinct dstport) as ports
  from flow_logs
  where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
  group by srcaddr
)
select sources.srcaddr, flows, packets, targets, ports, first_seen, last_seen
from sources join tried on sources.srcaddr is not distinct from tried.srcaddr
order by flows desc, sources.srcaddr
