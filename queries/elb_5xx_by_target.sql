-- title: Server errors by target
-- purpose: Which targets fail. A 5xx without a target's status was made by the load balancer: no answer, a reset, or no
--   healthy target.
-- needs: alb_logs(time, target_ip, target_port, elb_status_code, target_status_code)
-- param: limit int = 50 "how many rows"
-- origin: flowq
select target_ip, target_port, count(*) as requests,
  count(*) filter (where target_status_code between 500 and 599) as target_5xx,
  count(*) filter (where elb_status_code between 500 and 599 and target_status_code is null) as balancer_5xx,
  round(100.0 * count(*) filter (where elb_status_code between 500 and 599) / count(*), 1) as percent_5xx
from alb_logs
where ($from is null or time >= $from) and ($to is null or time < $to)
group by target_ip, target_port
having count(*) filter (where elb_status_code between 500 and 599) > 0
order by count(*) filter (where elb_status_code between 500 and 599) desc, target_ip, target_port
limit $limit
