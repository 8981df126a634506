-- title: Health of targets
-- purpose: Which targets failed health checks, how often and why.
-- needs: alb_health_check_logs(time, target_addr, target_group_id, status, reason_code, latency)
-- origin: flowq
with checked as (
  select target_group_id, target_addr, case when status = 'FAIL' then reason_code end as reason, count(*) as checks,
    count(*) filter (where status = 'FAIL') as failed, sum(latency) as latency, count(latency) as latencies,
    max(time) filter (where status = 'FAIL') as last_failed
  from alb_health_check_logs
  where ($from is null or time >= $from) and ($to is null or time < $to)
  group by target_group_id, target_addr, case when status = 'FAIL' then reason_code end
)
select target_group_id, target_addr, sum(checks) as checks, sum(failed) as failed,
  round(100.0 * sum(failed) / sum(checks), 1) as percent_failed,
  first_value(reason order by failed desc, reason) filter (where reason is not null) as reason, -- the most frequent
  round(sum(latency) / sum(latencies), 3) as mean_latency, max(last_failed) as last_failed
from checked
group by target_group_id, target_addr
order by failed desc, target_group_id, target_addr
