-- title: New destinations
-- purpose: Which internet addresses were contacted for the first time in the last part of the time looked at.
--   Records to ports above max_port are taken for replies and left out. Where compared_with is NULL, there are no
--   earlier records to compare with, and everything looks new.
--   An address of a public range is inside where a record with flow-direction shows it as an interface's own: without that
--   field only IPv4 and unique local addresses are.
-- needs: flow_logs(srcaddr, dstaddr, dstport, action, bytes, start)
-- param: recent duration = 1d "how long the last part is"
-- param: max_port int = 32767 "the highest port that counts as a service"
-- param: limit int = 100 "how many rows"
-- origin: flowq
with inside as ( -- addresses of public ranges, such as all IPv6 ones of a VPC, that an interface has
  select distinct address
  from (
    select case when flow_direction = 'egress' then srcaddr else dstaddr end as address
    from flow_logs
    where flow_direction in ('ingress', 'egress')
  )
  where is_internet(address)
),
contacts as (
  select dstaddr, srcaddr, min(start) as first_seen, count(*) as flows, sum(bytes) as bytes
  from flow_logs
  where action = 'ACCEPT' and dstport <= $max_port and is_internet(dstaddr)
    and (is_private(srcaddr) or flow_direction = 'egress') and ($from is null or start >= $from) and ($to is null or start < $to)
  group by dstaddr, srcaddr
),
bounds as (select max(start) - $recent::interval as cutoff, min(start) as earliest from flow_logs where ($from is null or start >= $from) and ($to is null or start < $to))
select dstaddr, min(first_seen) as first_seen, count(*) as sources, sum(flows) as flows, sum(bytes) as bytes,
  (select case when earliest <= cutoff then earliest end from bounds) as compared_with
from contacts
where not exists (select 1 from inside where inside.address = contacts.dstaddr)
group by dstaddr
having min(first_seen) > (select cutoff from bounds)
order by bytes desc, dstaddr
limit $limit
