-- title: Rejected traffic
-- purpose: What was turned away, by source, destination and port, most often first. A REJECT is a security group, a
--   network ACL, or a packet after its connection was closed.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, packets, start, end)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select srcaddr, dstaddr, dstport, protocol_name(protocol) as protocol, count(*) as flows, sum(packets) as packets,
  min(start) as first_seen, max("end") as last_seen
from flow_logs
where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
group by srcaddr, dstaddr, dstport, protocol
order by flows desc, srcaddr, dstaddr, dstport, protocol
limit $limit
