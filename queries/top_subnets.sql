-- title: Top subnets
-- purpose: Which subnets' interfaces carry the most bytes, in both directions together.
-- needs: flow_logs(subnet_id, bytes, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select subnet_id, sum(bytes) as bytes, sum(packets) as packets, count(*) as flows
from flow_logs
where subnet_id is not null and bytes is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by subnet_id
order by bytes desc, subnet_id
limit $limit
