-- What somebody keeps elsewhere.
select a.*, b.*
from read_parquet('/srv/a.parquet') as a, information_schema.tables as b
