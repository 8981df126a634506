-- title: Exfiltration candidates
-- purpose: Which private addresses sent far more to an internet address than they received from it.
-- needs: flow_logs(srcaddr, dstaddr, action, bytes, start, end)
-- param: min_bytes int = 100_000_000 "how many bytes out are worth a look"
-- param: min_ratio float = 10 "bytes out for each byte in"
-- param: limit int = 100 "how many rows"
-- origin: flowq
with sides as (
  select
    case when is_private(srcaddr) then srcaddr else dstaddr end as address,
    case when is_private(srcaddr) then dstaddr else srcaddr end as remote,
    case when is_private(srcaddr) then bytes else 0 end as bytes_out,
    case when is_private(srcaddr) then 0 else bytes end as bytes_in,
    start, "end"
  from flow_logs
  where action = 'ACCEPT' and ($from is null or start >= $from) and ($to is null or start < $to)
    and ((is_private(srcaddr) and is_internet(dstaddr)) or (is_internet(srcaddr) and is_private(dstaddr)))
)
select address, remote, sum(bytes_out) as bytes_out, sum(bytes_in) as bytes_in,
  round(sum(bytes_out)::double / nullif(sum(bytes_in), 0), 1) as ratio, min(start) as first_seen, max("end") as last_seen
from sides
group by address, remote
having sum(bytes_out) >= $min_bytes and sum(bytes_out) >= $min_ratio::double * sum(bytes_in)
order by bytes_out desc, address, remote
limit $limit
