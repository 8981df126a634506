-- title: Who uses the NAT gateways
-- purpose: Which private addresses send how much to the internet through a NAT gateway: at the interface of a zonal one,
--   where the packet's destination is not the interface's own, and at a regional one, which has no interface.
-- needs: flow_logs(interface_id, resource_id, interface_type, srcaddr, dstaddr, pkt_srcaddr, pkt_dstaddr, bytes, packets,
--   start)
-- param: limit int = 20 "how many rows"
-- origin: the question of AWS's knowledge base on NAT gateway traffic
with users as (
  select pkt_srcaddr as address, interface_id as nat_gateway, dstaddr as nat_address, pkt_dstaddr as destination, bytes,
    packets
  from flow_logs
  where dstaddr <> pkt_dstaddr and is_private(pkt_srcaddr) and is_internet(pkt_dstaddr) and ($from is null or start >= $from) and ($to is null or start < $to)
  union all
  select srcaddr, resource_id, null, dstaddr, bytes, packets
  from flow_logs
  where interface_id is null and (interface_type = 'regional_nat_gateway' or resource_id like 'nat-%')
    and is_private(srcaddr) and is_internet(dstaddr) and ($from is null or start >= $from) and ($to is null or start < $to)
)
select address, nat_gateway, nat_address, sum(bytes) as bytes, sum(packets) as packets,
  count(distinct destination) as destinations
from users
group by address, nat_gateway, nat_address
order by bytes desc, address, nat_gateway, nat_address
limit $limit
