"""Compares what engines count in Parquet files with what the corpus has: see ci/engines."""

import json
import os
import pathlib
import re
import sys

TABLES = {
    "gauge": "otel_metrics_gauge",
    "sum": "otel_metrics_sum",
    "histogram": "otel_metrics_histogram",
    "exponential_histogram": "otel_metrics_exponential_histogram",
    "summary": "otel_metrics_summary",
}


class DuckDb:
    def close(self):
        self.connection.close()

    def __init__(self):
        import duckdb

        self.connection = duckdb.connect()

    def count_by(self, table, column):
        source = f"read_parquet('{table}/**/*.parquet', hive_partitioning = true)"
        rows = self.connection.sql(f'SELECT "{column}", count(*) FROM {source} GROUP BY 1').fetchall()
        return dict(rows)


class PyArrow:
    def close(self):
        pass

    def count_by(self, table, column):
        import pyarrow.dataset

        read = pyarrow.dataset.dataset(table, partitioning="hive").to_table(columns=[column])
        counted = read.group_by(column).aggregate([(column, "count")])
        return dict(zip(counted[column].to_pylist(), counted[f"{column}_count"].to_pylist()))


class DataFusion:
    def close(self):
        pass

    def count_by(self, table, column):
        import datafusion
        import pyarrow

        context = datafusion.SessionContext()
        columns = [("date", pyarrow.string()), ("hour", pyarrow.int32())]
        context.register_parquet("t", str(table), table_partition_cols=columns)
        rows = context.sql(f'SELECT "{column}" AS k, count(*) AS n FROM t GROUP BY 1').to_pydict()
        return dict(zip(rows["k"], rows["n"]))


class Spark:
    def __init__(self):
        from pyspark.sql import SparkSession

        # Two worker processes. Spark reads nanoseconds as numbers only if told so.
        builder = SparkSession.builder.master("local-cluster[2,1,1024]")
        builder = builder.config("spark.sql.legacy.parquet.nanosAsLong", "true")
        builder = builder.config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")

    def close(self):
        self.session.stop()

    def count_by(self, table, column):
        rows = self.session.read.parquet(str(table)).groupBy(f"`{column}`").count().collect()
        return {row[0]: row[1] for row in rows}


def top(counts, truth):
    """Counts for the keys that the truth names, as it has only the largest."""
    return {key: counts.get(key, 0) for key in truth}


def found(engine, folder, truth):
    """What an engine counts of everything that the truth has for a file."""
    if "spans" in truth:
        by = lambda column: engine.count_by(folder / "otel_traces", column)
        spans, traces, services, names = map(by, ["SpanId", "TraceId", "ServiceName", "SpanName"])
        return {
            "spans": sum(spans.values()),
            "distinct_span_ids": len(spans),
            "traces": len(traces),
            "services": len(services),
            "names": len(names),
            "top_trace": top(traces, truth["top_trace"]),
            "top_service": top(services, truth["top_service"]),
            "top_name": top(names, truth["top_name"]),
        }
    if "logs" in truth:
        by = lambda column: engine.count_by(folder / "otel_logs", column)
        traces, services, severities = map(by, ["TraceId", "ServiceName", "SeverityText"])
        return {
            "logs": sum(services.values()),
            "traces": len(set(traces) - {""}),
            "services": len(services),
            "severity": severities,
            "top_service": top(services, truth["top_service"]),
            "top_trace": top(traces, truth["top_trace"]),
        }
    names, services, types = {}, {}, {}
    for kind, table in TABLES.items():
        if not (folder / table).exists():
            continue
        for column, sums in [("MetricName", names), ("ServiceName", services)]:
            for key, count in engine.count_by(folder / table, column).items():
                sums[key] = sums.get(key, 0) + count
        types[kind] = sum(engine.count_by(folder / table, "ServiceName").values())
    return {
        "points": sum(types.values()),
        "names": len(names),
        "services": len(services),
        "types": types,
        "top_name": top(names, truth["top_name"]),
        "top_service": top(services, truth["top_service"]),
    }


def questions(document):
    """The SQL of a document: each with the line before it."""
    text = pathlib.Path(document).read_text()
    return re.findall(r"([^\n]*)\n+```sql\n(.*?)```", text, re.DOTALL)


def main():
    work, truth, document = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2])), sys.argv[3]
    asked = questions(document)
    wrong = 0
    for engine in [DuckDb(), PyArrow(), DataFusion(), Spark()]:
        name = type(engine).__name__
        for file, expected in truth.items():
            folder = work / file.removesuffix(".jsonl")
            if not folder.exists():
                continue
            expected = {key: value for key, value in expected.items() if key != "zero_time"}
            got = found(engine, folder, expected)
            for key, value in expected.items():
                same = got.get(key) == value
                wrong += not same
                shown = value if isinstance(value, int) else f"{len(value)} counts"
                told = "ok" if same else got.get(key)
                print(f"{name:11} {folder.name:25} {key:18} {shown!s:>10}  {told}", flush=True)
        engine.close()
    os.chdir(work)
    connection = DuckDb().connection
    for title, sql in asked:
        rows = connection.sql(sql).fetchall()
        wrong += not rows
        print(f"{len(rows):6} rows  {title}")
    if len(asked) < 10:
        sys.exit(f"{document} has only {len(asked)} questions in SQL")
    sys.exit(f"{wrong} differences" if wrong else 0)


main()
