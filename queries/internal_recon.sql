-- title: Reconnaissance from inside
-- purpose: Which private addresses were turned away by many private targets: a host that looks around, or a service
--   whose rules are missing.
-- needs: flow_logs(srcaddr, dstaddr, dstport, action, start, end)
-- param: min_targets int = 10 "how many pairs of address and port are many"
-- param: limit int = 100 "how many rows"
-- origin: flowq
with pairs as (
  select srcaddr, dstaddr, dstport, count(*) as flows, min(start) as first_seen, max("end") as last_seen
  from flow_logs
  where action = 'REJECT' and is_private(srcaddr) and is_private(dstaddr) and ($from is null or start >= $from) and ($to is null or start < $to)
  group by srcaddr, dstaddr, dstport
)
select srcaddr, count(*) as targets, count(distinct dstaddr) as hosts, count(distinct dstport) as ports,
  sum(flows) as flows, min(first_seen) as first_seen, max(last_seen) as last_seen
from pairs
group by srcaddr
having count(*) >= $min_targets
order by targets desc, srcaddr
limit $limit
