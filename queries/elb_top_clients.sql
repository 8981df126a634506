-- title: Top clients of load balancers
-- purpose: Which clients sent the most requests, and how they were answered.
-- needs: alb_logs(time, client_ip, elb_status_code, received_bytes, sent_bytes)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select client_ip, count(*) as requests, count(*) filter (where elb_status_code >= 400) as errors,
  sum(received_bytes) as received_bytes, sum(sent_bytes) as sent_bytes, count(distinct user_agent) as user_agents
from alb_logs
where client_ip is not null and ($from is null or time >= $from) and ($to is null or time < $to)
group by client_ip
order by requests desc, client_ip
limit $limit
