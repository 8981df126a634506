-- title: Refused lines
-- purpose: Which lines could not be read, in how many files, and why. Such lines have no time, so from and to do
--   not count.
-- needs: quarantine(source_file, line, reason, text, kind)
-- param: limit int = 50 "how many rows"
-- origin: flowq
select kind, reason, count(*) as lines, count(distinct source_file) as files, min(source_file) as example_file,
  min(text) as example
from quarantine
group by kind, reason
order by lines desc, kind, reason
limit $limit
