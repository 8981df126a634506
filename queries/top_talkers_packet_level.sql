-- title: Top talkers behind gateways
-- purpose: Which pairs of addresses in the packets themselves move the most bytes, where NAT gateways, load balancers
--   and transit gateways hide them from srcaddr and dstaddr.
-- needs: flow_logs(pkt_srcaddr, pkt_dstaddr, bytes, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select pkt_srcaddr, pkt_dstaddr, sum(bytes) as bytes, sum(packets) as packets, count(*) as flows
from flow_logs
where pkt_srcaddr is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by pkt_srcaddr, pkt_dstaddr
order by bytes desc, pkt_srcaddr, pkt_dstaddr
limit $limit
