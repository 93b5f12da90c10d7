"""The JSON of imports, as the API's documentation shows it."""

from pydantic import BaseModel, ConfigDict, Field

from collector.api.bodies import STRICT
from collector.api.problems import Problem
from policy.importing import AUTO, FORMATS, Severity

MAX_FILES = 100


class File(BaseModel):
    model_config = STRICT

    name: str = Field("", max_length=1024, description="what notes call it")
    text: str = Field(description="YAML, one document or several; at most 1 MiB")


class ImportQuestion(BaseModel):
    model_config = STRICT

    files: list[File] = Field(min_length=1, max_length=MAX_FILES)
    format: str = Field(
        AUTO,
        description="auto: what each document looks like",
        json_schema_extra={"enum": [AUTO, *FORMATS]},
    )
    prefix: str = Field("", description="a DNS label that stands before every name")
    dry_run: bool = Field(False, description="say what would be done, and do nothing")
    partial: bool = Field(False, description="store the rest when something is refused")


class NoteAnswer(BaseModel):
    """What could not be imported, and what differs."""

    model_config = ConfigDict(from_attributes=True)

    file: str
    document: int = Field(description="from 1; 0: the file as a whole")
    path: str = Field(description="JSON pointer into the document")
    line: int = Field(description="from 1; 0: not known")
    column: int = Field(description="from 1; 0: not known")
    severity: Severity = Field(
        description="refused: could not be imported; changed: imported with a difference in"
        " meaning; ignored: left out, it has no part in what is decided"
    )
    reason: str


class NamesAnswer(BaseModel):
    made: list[str]
    changed: list[str]
    unchanged: list[str] = Field(description="were there already, as they are")


class ImportAnswer(BaseModel):
    stored: bool = Field(description="false: a dry run")
    version: int = Field(description="of the rule set after it; the present one if nothing changed")
    rules: NamesAnswer
    lists: NamesAnswer
    notes: list[NoteAnswer]


class RefusedImport(Problem):
    notes: list[NoteAnswer] = Field(description="which parts, and what else is to be said")
