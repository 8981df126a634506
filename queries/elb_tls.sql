-- title: TLS versions and ciphers
-- purpose: Which TLS versions and ciphers clients use, for finding who would be cut off by a stricter policy.
-- needs: alb_logs(time, elb, ssl_protocol, ssl_cipher, client_ip)
-- origin: flowq
select elb, ssl_protocol, ssl_cipher, count(*) as requests, count(distinct client_ip) as clients, max(time) as last_seen
from alb_logs
where ssl_protocol is not null and ($from is null or time >= $from) and ($to is null or time < $to)
group by elb, ssl_protocol, ssl_cipher
order by elb, ssl_protocol, requests desc, ssl_cipher
