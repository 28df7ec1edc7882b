from pathlib import Path

import distilrank
from snakemake.utils import min_version

min_version("9.0")

# Not `workflow.basedir`: under `module:` that is the other workflow's folder.
ROOT = Path(distilrank.__file__).parents[1]


configfile: ROOT / "config/config.yaml"


include: "rules/common.smk"
include: "rules/demand.smk"
include: "rules/native.smk"
include: "rules/data.smk"
include: "rules/teacher.smk"
include: "rules/student.smk"
include: "rules/quality.smk"
include: "rules/timing.smk"
include: "rules/predictor.smk"
include: "rules/design.smk"
include: "rules/accounts.smk"
include: "rules/exported.smk"
include: "rules/export.smk"
include: "rules/report.smk"


report: "report/workflow.rst"


# Compute nodes have no internet; a copy is not worth a submission.
localrules:
    fetch_dataset,
    share_student,
    report,
    native,
    teachers,
    students,
    pruned,
    quality,
    timing,
    predictor,
    design,
    export,


rule report:
    default_target: not AS_MODULE
    input:
        REPORT,
        CHECKED,
    message:
        "The report is rendered and every check held"


rule native:
    input:
        NATIVE,
    message:
        "The native library is built"


rule teachers:
    input:
        TEACHER_MODELS,
    message:
        "All forests are trained"


rule students:
    input:
        DENSE_MODELS,
    message:
        "All dense students are distilled"


rule pruned:
    input:
        PRUNED_MODELS,
    message:
        "All students are pruned"


rule quality:
    input:
        QUALITY,
    message:
        "All models are evaluated"


rule timing:
    input:
        TIMING,
    message:
        "All models are timed"


rule predictor:
    input:
        "results/predictor/validation.json",
    message:
        "The time predictors are fitted and validated"


rule design:
    input:
        DESIGNS,
        with_designs("quality", []),
        with_designs("parity", []),
        with_designs("timing", []),
    message:
        "Architectures for each budget are listed, and those to be trained are timed"


rule export:
    input:
        exported(),
    message:
        "The chosen models are exported"


onstart:
    try:
        claim("results")
    except (ValueError, OSError) as error:
        raise WorkflowError(str(error)) from None
    # Snakemake limits its submissions to 100 a second, which no run here reaches. While jobs wait
    # for a core that limit wakes the scheduler once a second more for every job that has ended:
    # after some hundreds it keeps a core busy with looking up the sizes of all inputs.
    limit = workflow.scheduler.job_rate_limiter
    if limit and limit.max_jobs >= 100:
        workflow.scheduler.job_rate_limiter = None


onerror:
    print(
        "A job failed. Its log, named above as 'log:', holds the traceback. Where there is none, "
        "a cluster did not start the job, or ended it: its own message stands above, and "
        "docs/slurm.md says what to do."
    )
