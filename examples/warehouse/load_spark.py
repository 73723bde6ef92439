"""Loads publications into tables of Spark's catalogue, partitioned by day.

    pip install pyspark                                             or on a cluster: spark-submit --py-files publication.py load_spark.py
    python load_spark.py                                            the latest day
    python load_spark.py 2011-12-09 2011-12-10                      these days

Each day is a partition `as_of` of each table. Only the partition of the day is overwritten, so loading a day again replaces its rows and
other days stay. The tables are Parquet: a query that reads a partition while it is replaced may fail, and if the load dies, running it
again completes it. Where that is too little, load into Delta Lake tables, as load_sql.py does for Databricks.
"""

import sys
from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, lit

from publication import urls, wanted

DATABASE = "segmill"


def identifier(name):
    return "`" + name.replace("`", "``") + "`"


def load(spark, day):
    """Overwrites the partition of the publication's day in each table."""
    spark.sql(f"create database if not exists {DATABASE}")
    files = {table["table"]: spark.read.parquet(*urls(table)) for table in day["tables"]}
    comments = {table: {} for table in files}
    if "columns" in files:
        for row in files["columns"].where("description is not null").collect():
            comments[row.table_name][row.column_name] = row.description
    for table in day["tables"]:
        replace(spark, day["as_of"], table, files[table["table"]], comments[table["table"]])
    # A table that this publication does not have keeps nothing of the day.
    for table in spark.catalog.listTables(DATABASE):
        if not table.isTemporary and table.name not in files:
            spark.sql(f"alter table {DATABASE}.{identifier(table.name)} drop if exists partition ({partition(day['as_of'])})")
    print(f"{day['as_of']}: loaded number {day['number']}")


def replace(spark, as_of, table, rows, comments):
    """Overwrites the partition of the day by the rows."""
    name = f"{DATABASE}.{identifier(table['table'])}"
    rows = rows.select(*[col(identifier(column)).alias(column, metadata={"comment": comments.get(column, "")}) for column in rows.columns])
    if not spark.catalog.tableExists(name):
        empty = rows.limit(0).withColumn("as_of", lit(as_of).cast("date"))
        empty.write.format("parquet").partitionBy("as_of").saveAsTable(name)
    # A publication may have more columns than the one before. A column whose type has changed makes the load fail.
    known = {field.name: field.metadata.get("comment", "") for field in spark.table(name).schema}
    for field in rows.schema:
        if field.name not in known:
            spark.sql(f"alter table {name} add columns ({identifier(field.name)} {field.dataType.simpleString()})")
        if known.get(field.name, "") != field.metadata.get("comment", ""):
            spark.sql(f"alter table {name} alter column {identifier(field.name)} comment :text", {"text": field.metadata["comment"]})
    columns = ", ".join(map(identifier, rows.columns))
    rows.createOrReplaceTempView("published_rows")
    spark.sql(f"insert overwrite table {name} partition ({partition(as_of)}) ({columns}) select {columns} from published_rows")


def partition(as_of):
    return f"as_of = date '{date.fromisoformat(as_of)}'"


if __name__ == "__main__":
    spark = SparkSession.builder.appName("load segments").enableHiveSupport().getOrCreate()
    for day in wanted(sys.argv[1:]):
        load(spark, day)
