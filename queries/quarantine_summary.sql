-- title: Refused lines
-- purpose: Which lines could not be read, in how many files, and why. Such lines have no time, so from and to do
--   not count.
-- needs: quarantine(source_file, line, reason, text, kind)
-- param: limit int = 50 "how many rows"
-- origin: flowq
select kind, split_part(reason, ', found ', 1) as reason, -- what was found differs from line to line
  count(*) as lines, count(distinct source_file) as files, min(source_file) as example_file,
  min(text) as example
from quarantine
group by 1, 2
order by lines desc, kind, reason
limit $limit
