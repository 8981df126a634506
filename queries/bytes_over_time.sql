-- title: Bytes over time
-- purpose: How much traffic there was in each interval. A record counts in the interval in which it starts.
-- needs: flow_logs(start, bytes, packets)
-- param: bucket duration = 5m "the length of an interval"
-- origin: flowq
select date_bin($bucket::interval, start) as time, sum(bytes) as bytes, sum(packets) as packets, count(*) as flows
from flow_logs
where bytes is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by 1
order by 1
