-- title: Inbound from the internet
-- purpose: Which addresses and ports inside were reached from the internet. Records to ports above max_port are taken
--   for replies to outbound connections and left out.
--   An address of a public range is inside where a record with flow-direction shows it as an interface's own: without that
--   field only IPv4 and unique local addresses are.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, start)
-- param: max_port int = 32767 "the highest port that counts as a service"
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
  select dstaddr, dstport, protocol, srcaddr, count(*) as flows, sum(bytes) as bytes
  from flow_logs
  where action = 'ACCEPT' and dstport <= $max_port and is_internet(srcaddr)
    and (is_private(dstaddr) or flow_direction = 'ingress') and ($from is null or start >= $from) and ($to is null or start < $to)
  group by dstaddr, dstport, protocol, srcaddr
)
select dstaddr, dstport, protocol_name(protocol) as protocol, service_name(dstport, protocol) as service,
  count(*) as sources, sum(flows) as flows, sum(bytes) as bytes
from reached
where not exists (select 1 from inside where inside.address = reached.srcaddr)
group by dstaddr, dstport, reached.protocol
order by flows desc, dstaddr, dstport, protocol
limit $limit
