-- title: Bytes between availability zones
-- purpose: Which zones send each other how much, which AWS charges for. A zone is known for each address that has an
--   interface in these logs; only the sending side counts, so each byte counts once.
-- needs: flow_logs(srcaddr, dstaddr, az_id, flow_direction, action, bytes, start)
-- origin: flowq
with windowed as (
  select srcaddr, dstaddr, az_id, flow_direction, bytes from flow_logs
  where az_id is not null and srcaddr is not null and action = 'ACCEPT' and ($from is null or start >= $from) and ($to is null or start < $to)
),
homes as (
  select case when flow_direction = 'egress' then srcaddr else dstaddr end as addr, min(az_id) as az_id
  from windowed
  where flow_direction in ('ingress', 'egress')
  group by 1
)
select sent.az_id as from_az, homes.az_id as to_az, sum(sent.bytes) as bytes, count(*) as flows
from windowed as sent join homes on sent.dstaddr = homes.addr
where sent.flow_direction = 'egress' and sent.az_id <> homes.az_id
group by sent.az_id, homes.az_id
order by bytes desc, from_az, to_az
