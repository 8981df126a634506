-- title: Suspicious clients
-- purpose: Which clients probe: many client errors, paths that only scanners ask for, or requests that the load
--   balancer classified as ambiguous or severe.
-- needs: alb_logs(time, client_ip, elb_status_code, request_url, user_agent, classification)
-- param: min_errors int = 20 "how many 4xx make a client suspicious"
-- param: pattern text = (\.\./|%2e%2e|/\.env|/\.git|/wp-(login|admin)|/phpmyadmin|/etc/passwd|union(\+|%20)select|<script|jndi:|/cgi-bin/) "what scanners ask for, as a regular expression"
-- param: limit int = 100 "how many rows"
-- origin: flowq
with seen as (
  select client_ip,
    count(*) as requests,
    count(*) filter (where elb_status_code between 400 and 499) as errors_4xx,
    count(*) filter (where regexp_like(request_url, $pattern::text, 'i')) as probes,
    count(*) filter (where classification in ('Ambiguous', 'Severe')) as malformed,
    count(distinct url_path(request_url)) as paths,
    min(user_agent) as user_agent, min(time) as first_seen, max(time) as last_seen
  from alb_logs
  where client_ip is not null and ($from is null or time >= $from) and ($to is null or time < $to)
  group by client_ip
)
select * from seen
where errors_4xx >= $min_errors or probes > 0 or malformed > 0
order by probes desc, malformed desc, errors_4xx desc, client_ip
limit $limit
