-- title: Inbound from the internet
-- purpose: Which private addresses and ports were reached from the internet. Records to ports above max_port are taken
--   for replies to outbound connections and left out.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, start)
-- param: max_port int = 32767 "the highest port that counts as a service"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select dstaddr, dstport, protocol_name(protocol) as protocol, service_name(dstport, protocol) as service,
  count(distinct srcaddr) as sources, count(*) as flows, sum(bytes) as bytes
from flow_logs
where action = 'ACCEPT' and dstport <= $max_port and is_internet(srcaddr) and is_private(dstaddr) and ($from is null or start >= $from) and ($to is null or start < $to)
group by dstaddr, dstport, protocol
order by flows desc, dstaddr, dstport
limit $limit
