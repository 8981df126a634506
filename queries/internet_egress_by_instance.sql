-- title: Internet egress by instance
-- purpose: Which instances send how much straight to the internet. What leaves through a NAT gateway is under
--   nat_gateway_users; only the traffic path tells the two apart, so that logs without it count both here.
--   An address of a public range is inside where a record with flow-direction shows it as an interface's own: without that
--   field only IPv4 and unique local addresses are.
-- needs: flow_logs(instance_id, srcaddr, dstaddr, action, bytes, packets, traffic_path, start)
-- param: limit int = 20 "how many rows"
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
sent as (
  select instance_id, dstaddr, sum(bytes) as bytes, sum(packets) as packets
  from flow_logs
  where instance_id is not null and action = 'ACCEPT' and is_internet(dstaddr)
    and (is_private(srcaddr) or flow_direction = 'egress')
    and (traffic_path is null or traffic_path in (2, 8)) -- an internet gateway
    and ($from is null or start >= $from) and ($to is null or start < $to)
  group by instance_id, dstaddr
)
select instance_id, sum(bytes) as bytes, sum(packets) as packets, count(*) as destinations
from sent
where not exists (select 1 from inside where inside.address = sent.dstaddr)
group by instance_id
order by bytes desc, instance_id
limit $limit
