-- title: Health of targets
-- purpose: Which targets failed health checks, how often and why.
-- needs: alb_health_check_logs(time, target_addr, target_group_id, status, reason_code, latency)
-- origin: flowq
select target_group_id, target_addr, count(*) as checks, count(*) filter (where status = 'FAIL') as failed,
  round(100.0 * count(*) filter (where status = 'FAIL') / count(*), 1) as percent_failed,
  min(reason_code) filter (where status = 'FAIL') as reason, round(avg(latency), 3) as mean_latency,
  max(time) filter (where status = 'FAIL') as last_failed
from alb_health_check_logs
where ($from is null or time >= $from) and ($to is null or time < $to)
group by target_group_id, target_addr
order by failed desc, target_group_id, target_addr
