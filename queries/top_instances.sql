-- title: Top instances
-- purpose: Which instances' interfaces carry the most bytes, in both directions together.
-- needs: flow_logs(instance_id, bytes, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select instance_id, sum(bytes) as bytes, sum(packets) as packets, count(*) as flows
from flow_logs
where instance_id is not null and bytes is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by instance_id
order by bytes desc, instance_id
limit $limit
