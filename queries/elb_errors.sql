-- title: Load balancer errors
-- purpose: Which errors clients saw, whether they came from the target or the load balancer itself, and why.
-- needs: alb_logs(time, elb, elb_status_code, target_status_code, error_reason)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select elb, elb_status_code, target_status_code, error_reason, count(*) as requests,
  count(distinct client_ip) as clients, min(time) as first_seen, max(time) as last_seen
from alb_logs
where elb_status_code >= 400 and ($from is null or time >= $from) and ($to is null or time < $to)
group by elb, elb_status_code, target_status_code, error_reason
order by requests desc, elb, elb_status_code, target_status_code, error_reason
limit $limit
