-- title: Accepted traffic
-- purpose: What was let through, by source, destination and port, largest first.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, packets, start)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select srcaddr, dstaddr, dstport, protocol_name(protocol) as protocol, count(*) as flows, sum(packets) as packets,
  sum(bytes) as bytes
from flow_logs
where action = 'ACCEPT' and ($from is null or start >= $from) and ($to is null or start < $to)
group by srcaddr, dstaddr, dstport, protocol
order by bytes desc, srcaddr, dstaddr, dstport, protocol
limit $limit
