"""`./voucherflow forms …`: mapping files for OA systems whose documents are free forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.cli_common import errors, resolver
from include.domain.errors import FixConfig, FixData
from include.ports import SystemClock
from include.settings import config_dir, load_source

if TYPE_CHECKING:
    from include.adapters.oa.forms.instance import FormInstance

MAX_SAMPLE_BYTES = 8 * 1024 * 1024


def register(app: typer.Typer) -> None:
    """Add the commands."""
    forms = typer.Typer(no_args_is_help=True, help="自由表单的映射文件 / mapping files of free forms")
    app.add_typer(forms, name="forms")

    @forms.callback()
    def _group() -> None:
        """自由表单的映射文件 / mapping files of free forms."""

    @forms.command("draft")
    def draft_command(
        source: Annotated[str, typer.Argument(help="来源 / source id")],
        sample: Annotated[
            Path | None, typer.Option(help="表单样本（JSON）/ a filled-in form as JSON")
        ] = None,
        instance: Annotated[str, typer.Option(help="OA 中一张表单的 id / id of a form in the OA")] = "",
    ) -> None:
        """由一张填好的表单起草映射文件，输出到标准输出 / draft a mapping file from a filled-in form."""
        from include.adapters.oa.forms.draft import draft_mapping

        if (sample is None) == (not instance):
            raise FixConfig("请给出 --sample 或 --instance 其中之一 / give either --sample or --instance")
        form = _sample(sample) if sample is not None else _instance(source, instance)
        typer.echo(draft_mapping(form), nl=False)
        folder = config_dir() / "mappings" / source
        errors.print(
            f"核对后存为 {folder}/<名称>.yaml / check it and save it as {folder}/<name>.yaml",
            markup=False,
            soft_wrap=True,
        )


def _sample(path: Path) -> FormInstance:
    from include.adapters.oa.forms.instance import load_instance

    try:
        with path.open("rb") as file:
            data = file.read(MAX_SAMPLE_BYTES + 1)
    except OSError as error:
        raise FixConfig(f"{path}: 无法读取 / cannot be read: {error.strerror}") from error
    if len(data) > MAX_SAMPLE_BYTES:
        raise FixData(f"{path}: 样本超过 {MAX_SAMPLE_BYTES // 1024**2} MB / the sample is too large")
    try:
        return load_instance(json.loads(data.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise FixData(f"{path}: 不是 UTF-8 的 JSON / is no JSON in UTF-8: {error}") from error
    except FixData as error:
        raise FixData(f"{path}: {error}") from error


def _instance(source_id: str, instance_id: str) -> FormInstance:
    from include.adapters.oa.forms.instance import FormSource
    from include.adapters.registry import build_source

    source = load_source(source_id)
    adapter = build_source(source, resolver[0](source.connection), SystemClock())
    if not isinstance(adapter, FormSource):
        raise FixConfig(
            f"{source.file}: {source.system} 的表单是固定的，不需要映射文件 / the forms of {source.system} are fixed and need no mapping"
        )
    return adapter.form_instance(instance_id)
