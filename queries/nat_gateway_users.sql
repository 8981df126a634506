-- title: Who uses the NAT gateways
-- purpose: Which private addresses send how much to the internet through a NAT gateway, seen at its interface, where
--   the packet's destination is not the interface's own.
-- needs: flow_logs(interface_id, dstaddr, pkt_srcaddr, pkt_dstaddr, bytes, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: the question of AWS's knowledge base on NAT gateway traffic
select pkt_srcaddr as address, interface_id as nat_interface_id, dstaddr as nat_address, sum(bytes) as bytes,
  sum(packets) as packets, count(distinct pkt_dstaddr) as destinations
from flow_logs
where dstaddr <> pkt_dstaddr and is_private(pkt_srcaddr) and is_internet(pkt_dstaddr) and ($from is null or start >= $from) and ($to is null or start < $to)
group by pkt_srcaddr, interface_id, dstaddr
order by bytes desc, address, nat_interface_id
limit $limit
