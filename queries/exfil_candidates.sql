-- title: Exfiltration candidates
-- purpose: Which addresses inside sent far more to an internet address than they received from it.
--   An address of a public range is inside where a record with flow-direction shows it as an interface's own: without that
--   field only IPv4 and unique local addresses are.
-- needs: flow_logs(srcaddr, dstaddr, action, bytes, start, end)
-- param: min_bytes int = 100_000_000 "how many bytes out are worth a look"
-- param: min_ratio float = 10 "bytes out for each byte in"
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
sides as (
  select
    case when is_out then srcaddr else dstaddr end as address,
    case when is_out then dstaddr else srcaddr end as remote,
    case when is_out then bytes else 0 end as bytes_out,
    case when is_out then 0 else bytes end as bytes_in,
    start, "end"
  from (
    select srcaddr, dstaddr, bytes, start, "end",
      is_internet(dstaddr) and (is_private(srcaddr) or coalesce(flow_direction = 'egress', false)) as is_out,
      is_internet(srcaddr) and (is_private(dstaddr) or coalesce(flow_direction = 'ingress', false)) as is_in
    from flow_logs
    where action = 'ACCEPT' and ($from is null or start >= $from) and ($to is null or start < $to)
  )
  where is_out or is_in
),
pairs as (
  select address, remote, sum(bytes_out) as bytes_out, sum(bytes_in) as bytes_in, min(start) as first_seen,
    max("end") as last_seen
  from sides
  group by address, remote
  having sum(bytes_out) >= $min_bytes and sum(bytes_out) >= $min_ratio::double * sum(bytes_in)
)
select address, remote, bytes_out, bytes_in, round(bytes_out::double / nullif(bytes_in, 0), 1) as ratio, first_seen, last_seen
from pairs
where not exists (select 1 from inside where inside.address = pairs.remote)
order by bytes_out desc, address, remote
limit $limit
