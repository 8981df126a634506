-- title: HTTPS receivers
-- purpose: Which addresses receive the most HTTPS packets.
-- needs: flow_logs(dstaddr, dstport, protocol, bytes, packets, start)
-- param: port int = 443 "the destination port"
-- param: limit int = 50 "how many rows"
-- origin: the question of AWS's guide to querying flow logs with Athena
select dstaddr, sum(packets) as packets, sum(bytes) as bytes, count(*) as flows
from flow_logs
where dstport = $port and protocol = 6 and ($from is null or start >= $from) and ($to is null or start < $to)
group by dstaddr
order by packets desc, dstaddr
limit $limit
