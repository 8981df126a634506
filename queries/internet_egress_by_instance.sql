-- title: Internet egress by instance
-- purpose: Which instances send how much straight to the internet. What leaves through a NAT gateway is under
--   nat_gateway_users; only the traffic path tells the two apart, so that logs without it count both here.
-- needs: flow_logs(instance_id, srcaddr, dstaddr, action, bytes, packets, traffic_path, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select instance_id, sum(bytes) as bytes, sum(packets) as packets, count(distinct dstaddr) as destinations
from flow_logs
where instance_id is not null and action = 'ACCEPT' and is_private(srcaddr) and is_internet(dstaddr)
  and (traffic_path is null or traffic_path in (2, 8)) -- an internet gateway
  and ($from is null or start >= $from) and ($to is null or start < $to)
group by instance_id
order by bytes desc, instance_id
limit $limit
