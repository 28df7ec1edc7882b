from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/teacher.smk"
include: "rules/student.smk"
include: "rules/quality.smk"
include: "rules/timing.smk"
include: "rules/predictor.smk"
include: "rules/report.smk"


report: "report/workflow.rst"


localrules:
    report,
    teachers,
    students,
    pruned,
    quality,
    timing,
    predictor,


rule report:
    default_target: True
    input:
        REPORT,
        CHECKED,


rule teachers:
    input:
        TEACHER_MODELS,


rule students:
    input:
        DENSE_MODELS,


rule pruned:
    input:
        PRUNED_MODELS,


rule quality:
    input:
        QUALITY,


rule timing:
    input:
        TIMING,


rule predictor:
    input:
        "results/predictor/validation.json",


onerror:
    print("A job failed. Its log, named above as 'log:', holds the traceback.")
