"""The W&B report: results, leaderboard, searched hyperparameters, curves, and report.html as media."""

from typing import Any

from wandb_workspaces.reports import v2 as wr

from search.tracking.tracked import ReportContent, TrackedSearch


def save_report(
    search: TrackedSearch, content: ReportContent, entity: str, project: str, known: str | None
) -> tuple[str, str]:
    """Create the report, or update the one with the id `known`. Returns its id and address. The project must exist."""
    report = wr.Report(
        project=project,
        entity=entity,
        title=f"babeltune {search.name}",
        description="The best translation transformer of this search, and the evidence.",
        blocks=report_blocks(search, content, entity, project),
        width="fluid",
    )
    report.id = known or ""
    report.save()
    return report.id, report.url


def report_blocks(search: TrackedSearch, content: ReportContent, entity: str, project: str) -> list[Any]:
    """The blocks of the W&B report, from top to bottom."""

    def runs_of(job_type: str) -> wr.Runset:
        filters = f"Group = '{search.name}' and JobType = '{job_type}'"
        return wr.Runset(entity=entity, project=project, name=job_type, filters=filters)

    score = wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(search.metric), inverted=search.goal == "minimize")
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(path), log="log" in search.parameters[path].get("distribution", ""))
        for path in content.paths
    ]
    left, right = wr.Layout(x=0, y=12, w=12, h=8), wr.Layout(x=12, y=12, w=12, h=8)
    return [
        wr.H1("Answer"),
        *(wr.P(sentence) for sentence in content.answer),
        wr.H1("Leaderboard"),
        wr.MarkdownBlock(leaderboard_table(content)),
        *(wr.P(f"{name} {signature}") for name, signature in content.signatures.items()),
        wr.H1("Search"),
        wr.PanelGrid(
            runsets=[runs_of("trial")],
            panels=[
                wr.ParallelCoordinatesPlot(columns=[*columns, score], layout=wr.Layout(x=0, y=0, w=24, h=12)),
                wr.ParameterImportancePlot(with_respect_to=search.metric, layout=left),
                wr.LinePlot(x="epoch", y=[search.metric], title="Learning curves", layout=right),
            ],
        ),
        wr.H1("Finals"),
        wr.PanelGrid(
            runsets=[runs_of("final")],
            panels=[
                wr.LinePlot(x="epoch", y=[search.metric], layout=wr.Layout(x=0, y=0, w=12, h=8)),
                wr.LinePlot(x="epoch", y=content.curves, layout=wr.Layout(x=12, y=0, w=12, h=8)),
            ],
        ),
        wr.H1("Report"),
        wr.PanelGrid(
            runsets=[runs_of("report")],
            panels=[wr.MediaBrowser(media_keys=["report"], layout=wr.Layout(x=0, y=0, w=24, h=24))],
        ),
    ]


def leaderboard_table(content: ReportContent) -> str:
    """The leaderboard in Markdown."""
    columns = {
        "rank": "rank",
        "group": "group",
        "trial": "trial",
        content.heading: content.metric,
        **content.beside,
        "parameters": "num_parameters",
    }
    rows = [[*columns, "95% interval"], ["---:"] * (len(columns) + 1)]
    for entry in content.ranking:
        low, high = entry[f"{content.metric}_ci"]
        values = [entry[key] for key in columns.values()]
        cells = [
            f"{value:.2f}" if isinstance(value, float) else "" if value is None else f"{value:,}" for value in values
        ]
        rows.append([*cells, f"{low:.1f}–{high:.1f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
