-- title: IPv4 and IPv6
-- purpose: How traffic divides between the address families.
-- needs: flow_logs(srcaddr, bytes, packets, start)
-- origin: flowq
select 'IPv' || family::text as family, count(*) as flows, sum(packets) as packets, sum(bytes) as bytes,
  round(100.0 * sum(bytes) / nullif(sum(sum(bytes)) over (), 0), 1) as percent_of_bytes
from (select ip_family(srcaddr) as family, packets, bytes from flow_logs where srcaddr is not null and ($from is null or start >= $from) and ($to is null or start < $to))
where family is not null
group by family
order by family
