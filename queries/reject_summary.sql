-- title: Rejected traffic by cause
-- purpose: What dropped it, how sure that is and why; UNDETERMINED is what the evidence leaves open.
-- needs: reject_attribution(verdict, confidence, reason_code, srcaddr, dstaddr, packets, start, end)
-- origin: flowq
select verdict, confidence, reason_code, count(*) as flows, sum(packets) as packets, count(distinct srcaddr) as sources,
  count(distinct dstaddr) as targets, min(start) as first_seen, max("end") as last_seen
from reject_attribution
where ($from is null or start >= $from) and ($to is null or start < $to)
group by verdict, confidence, reason_code
order by flows desc, verdict, confidence, reason_code
