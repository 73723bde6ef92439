"""Runs load_spark.py in a local Spark, and reads what load_sql.py prints for Databricks with Spark's parser."""

import os
import runpy
import shutil
import sys

os.environ["TZ"] = "UTC"

import support
from support import DAY, EARLIER, EXAMPLES, FOLDER, at, by_pyarrow, check_comments, check_types, compare, published

from pyspark.sql import SparkSession
from pyspark.sql.functions import col

PATH = FOLDER / "spark"
TYPES = {
    "string": "string",
    "int64": "bigint",
    "double": "double",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us, tz=UTC]": "timestamp",
    "decimal128": "decimal(…",
    "list": "array<{}>",
}
shutil.rmtree(PATH, ignore_errors=True)
PATH.mkdir()
# The example asks for this session, and gets it.
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.warehouse.dir", PATH / "warehouse")
    .config("spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:;databaseName={PATH}/metastore;create=true")
    .config("spark.driver.extraJavaOptions", f"-Dderby.stream.error.file={PATH}/derby.log")
    .enableHiveSupport()
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")


def load(*days):
    sys.argv[1:] = days
    runpy.run_path(str(EXAMPLES / "load_spark.py"), run_name="__main__")


def holds(day):
    def found(table, columns, day):
        rows = spark.table(f"segmill.`{table}`").where(col("as_of") == day)
        return rows.select(*["`" + column.replace("`", "``") + "`" for column in columns]).toArrow()

    compare("spark", day, by_pyarrow, found)


at("first")
load(EARLIER, DAY)
load(DAY)
holds(EARLIER), holds(DAY)
schemas = {name: spark.table(f"segmill.`{name}`").schema for name in published(DAY)}
check_types("spark", DAY, TYPES, {name: {field.name: field.dataType.simpleString() for field in schema} for name, schema in schemas.items()})
check_comments("spark", DAY, {name: {field.name: field.metadata.get("comment") for field in schema} for name, schema in schemas.items()})

# A day that was published again replaces its old rows, and empties a table that it does not have.
at("again")
load(DAY)
holds(DAY), holds(EARLIER)
days = [row.as_of.isoformat() for row in spark.table("segmill.buying_clusters").select("as_of").distinct().collect()]
assert days == [EARLIER], days

# What is printed for Databricks is SQL of Spark, too.
import load_sql
from publication import publication

statements = list(load_sql.statements("databricks", publication(DAY)))
for statement in statements:
    spark._jsparkSession.sessionState().sqlParser().parsePlan(statement.rstrip(";"))
print(f"databricks: Spark's parser reads {len(statements)} statements")
