"""The strategies that come with the package."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Response

from option_baskets.adapters.basket_file.components import reference
from option_baskets.adapters.basket_file.tables import document_table
from option_baskets.adapters.templates import Template, template, templates
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.plan_answers import EXAMPLE, PlanAnswer

router = APIRouter(tags=["templates"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSummary:
    name: str
    when: str
    """When the strategy is used."""
    legs: int
    underlying: str

    @classmethod
    def of(cls, each: Template) -> "TemplateSummary":
        strategy = each.strategy
        return cls(name=each.name, when=each.when, legs=len(strategy.legs), underlying=strategy.underlying)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatesPage:
    items: tuple[TemplateSummary, ...]
    next: str | None
    """Give it back as ``cursor`` for what follows; null at the end."""

    @classmethod
    def of(cls, page: Page[TemplateSummary]) -> "TemplatesPage":
        return cls(items=page.items, next=page.next)


def _template_view(each: Template) -> dict[str, Any]:
    return {"name": each.name, "when": each.when, "file": document_table(each.basket), "toml": each.text}


def template_schemas() -> dict[str, Any]:
    """The schema of one template, for the document."""
    return {
        "TemplateView": {
            "type": "object",
            "description": "A template: its basket file as JSON and as text; `file.strategies[0]` is a body of POST "
            "/options/baskets/{basket_id}/strategies.",
            "properties": {
                "name": {"type": "string"},
                "when": {"type": "string", "description": "When the strategy is used."},
                "file": {"type": "object"},
                "toml": {"type": "string", "description": "As `baskets new` writes it."},
            },
            "required": ["name", "when", "file", "toml"],
            "additionalProperties": False,
        }
    }


@router.get(
    "/options/templates",
    summary="Templates",
    responses=answers(
        TemplatesPage,
        example=TemplatesPage(items=(TemplateSummary.of(template(EXAMPLE)),), next="bmV4dA"),
    ),
    response_model=None,
)
async def list_templates(asker: Asking, page: Paged) -> Response:
    """By name."""
    found = page.of(templates(), lambda each: each.name, TemplateSummary.of)
    return Answer(TemplatesPage.of(found))


_ONE = answers(None, description="The template.")
_ONE[200]["content"] = {
    "application/json": {
        "schema": reference("TemplateView"),
        "example": msgspec.json.decode(PlanAnswer(_template_view(template(EXAMPLE))).body),
    }
}


@router.get("/options/templates/{name}", summary="A template", responses=_ONE, response_model=None)
async def get_template(asker: Asking, name: Annotated[str, Path(max_length=100)]) -> Response:
    """As a basket file, in JSON and in text."""
    return PlanAnswer(_template_view(template(name)))
