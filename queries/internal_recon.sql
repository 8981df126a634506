-- title: Reconnaissance from inside
-- purpose: Which addresses inside were turned away by many targets inside: a host that looks around, or a service
--   whose rules are missing.
--   An address of a public range is inside where a record with flow-direction shows it as an interface's own: without that
--   field only IPv4 and unique local addresses are.
-- needs: flow_logs(srcaddr, dstaddr, dstport, action, start, end)
-- param: min_targets int = 10 "how many pairs of address and port are many"
-- param: limit int = 100 "how many rows"
-- origin: flowq
with inside as ( -- addresses of public ranges, such as all IPv6 ones of a VPC, that an interface has
  select distinct address
  from (
    select case when flow_direction = 'egress' then srcaddr else dstaddr end as address
    from flow_logs
    where flow_direction in ('ingress', 'egress')
  )
  where is_internet(address)
),
pairs as (
  select srcaddr, dstaddr, dstport, count(*) as flows, min(start) as first_seen, max("end") as last_seen
  from flow_logs left join inside as s on s.address = srcaddr left join inside as d on d.address = dstaddr
  where action = 'REJECT' and (is_private(srcaddr) or s.address is not null)
    and (is_private(dstaddr) or d.address is not null) and ($from is null or start >= $from) and ($to is null or start < $to)
  group by srcaddr, dstaddr, dstport
)
select srcaddr, count(*) as targets, count(distinct dstaddr) as hosts, count(distinct dstport) as ports,
  sum(flows) as flows, min(first_seen) as first_seen, max(last_seen) as last_seen
from pairs
group by srcaddr
having count(*) >= $min_targets
order by targets desc, srcaddr
limit $limit
