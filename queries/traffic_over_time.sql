-- title: Accepted and rejected over time
-- purpose: How accepted and rejected traffic developed. A record counts in the interval in which it starts.
-- needs: flow_logs(start, action, bytes)
-- param: bucket duration = 1h "the length of an interval"
-- origin: flowq
select
  date_bin($bucket::interval, start) as time,
  count(*) filter (where action = 'ACCEPT') as accepted_flows,
  count(*) filter (where action = 'REJECT') as rejected_flows,
  coalesce(sum(bytes) filter (where action = 'ACCEPT'), 0) as accepted_bytes,
  coalesce(sum(bytes) filter (where action = 'REJECT'), 0) as rejected_bytes
from flow_logs
where action is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by 1
order by 1
