-- title: Top talkers
-- purpose: Which addresses send the most bytes. Traffic between two logged interfaces is recorded by both and
--   counts twice.
-- needs: flow_logs(srcaddr, bytes, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select srcaddr, sum(bytes) as bytes, sum(packets) as packets, count(*) as flows
from flow_logs
where srcaddr is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by srcaddr
order by bytes desc, srcaddr
limit $limit
