-- title: New destinations
-- purpose: Which internet addresses were contacted for the first time in the last part of the time looked at.
--   Records to ports above max_port are taken for replies and left out. Where compared_with is NULL, there are no
--   earlier records to compare with, and everything looks new.
-- needs: flow_logs(srcaddr, dstaddr, dstport, action, bytes, start)
-- param: recent duration = 1d "how long the last part is"
-- param: max_port int = 32767 "the highest port that counts as a service"
-- param: limit int = 100 "how many rows"
-- origin: flowq
with contacts as (
  select srcaddr, dstaddr, bytes, start from flow_logs
  where action = 'ACCEPT' and dstport <= $max_port and is_private(srcaddr) and is_internet(dstaddr) and ($from is null or start >= $from) and ($to is null or start < $to)
),
bounds as (select max(start) - $recent::interval as cutoff, min(start) as earliest from flow_logs where ($from is null or start >= $from) and ($to is null or start < $to))
select dstaddr, min(start) as first_seen, count(distinct srcaddr) as sources, count(*) as flows, sum(bytes) as bytes,
  (select case when earliest <= cutoff then earliest end from bounds) as compared_with
from contacts
group by dstaddr
having min(start) > (select cutoff from bounds)
order by bytes desc, dstaddr
limit $limit
