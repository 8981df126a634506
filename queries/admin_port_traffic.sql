-- title: Traffic to administration ports
-- purpose: Who reaches for remote administration and databases, and whether from the internet and let through.
--   An address of a public range is inside where a record with flow-direction shows it as an interface's own: without that
--   field only IPv4 and unique local addresses are.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, start, end)
-- param: ports int[] = 22,23,135,139,445,1433,1521,2375,3306,3389,5432,5900,5985,5986,6379,6443,9200,27017 "the ports"
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
reached as (
  select dstport, protocol, srcaddr, dstaddr, action, count(*) as flows, sum(bytes) as bytes, min(start) as first_seen,
    max("end") as last_seen
  from flow_logs
  where protocol in (6, 17) and array_has($ports::bigint[], dstport::bigint) and ($from is null or start >= $from) and ($to is null or start < $to)
  group by dstport, protocol, srcaddr, dstaddr, action
)
select dstport, service_name(dstport, protocol) as service, srcaddr, dstaddr, action,
  is_internet(srcaddr) and inside.address is null as from_internet, flows, bytes, first_seen, last_seen
from reached left join inside on inside.address = reached.srcaddr
order by from_internet desc, action, flows desc, dstport, srcaddr, dstaddr, protocol
limit $limit
