-- title: Skipped records by hour
-- purpose: When AWS left records out for lack of capacity. Each such row stands for an unknown number of flows.
-- needs: flow_logs(start, interface_id, log_status)
-- origin: flowq
select date_bin(interval '1 hour', start) as hour, count(*) as skipdata, count(distinct interface_id) as interfaces
from flow_logs
where log_status = 'SKIPDATA' and ($from is null or start >= $from) and ($to is null or start < $to)
group by 1
order by 1
