-- title: DNS past the approved resolvers
-- purpose: Who sends DNS (port 53) or DNS over TLS (853) to other resolvers. Queries to Amazon's own resolver are
--   never logged.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, start)
-- param: approved address[] = null "resolvers that may be used"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select srcaddr, dstaddr, dstport, protocol_name(protocol) as protocol, action, is_internet(dstaddr) as to_internet,
  count(*) as flows, sum(bytes) as bytes
from flow_logs
where dstport in (53, 853) and protocol in (6, 17)
  and not coalesce(array_has($approved::text[], dstaddr), false) and ($from is null or start >= $from) and ($to is null or start < $to)
group by srcaddr, dstaddr, dstport, protocol, action
order by flows desc, srcaddr, dstaddr, dstport, protocol, action
limit $limit
